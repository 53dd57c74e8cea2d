package upstreams

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// call asks an address with the client for calls to providers, and reads the answer.
func call(t *testing.T, dev bool, address string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newClient(dev).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func TestCallsStayAtTheProvider(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/small", http.StatusFound)
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("x"), maxBody+1))
		case "/largest":
			_, _ = w.Write(bytes.Repeat([]byte("x"), maxBody-1))
		}
	}))
	defer srv.Close()
	for path, want := range map[string]error{"/away": errElsewhere, "/round": errElsewhere, "/here": nil, "/large": errTooLarge, "/largest": nil} {
		if err := call(t, true, srv.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if reached {
		t.Error("another host was called")
	}
	for _, address := range []string{srv.URL + "/small", "http://192.0.2.1/"} {
		if err := call(t, address != srv.URL+"/small", address); !errors.Is(err, errInsecure) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
