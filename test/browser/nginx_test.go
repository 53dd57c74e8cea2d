package browser_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"countersign/store/storetest"
	"countersign/test/programs"
)

// Operators put headers of their own before everything, Referrer-Policy: no-referrer among
// them. With it, browsers send forms to the page's own server with Origin: null. The hosted
// pages work all the same behind a real nginx that adds it.
func TestHostedPagesBehindNginxThatHidesReferrers(t *testing.T) {
	t.Parallel()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // not on every user's path
		_, err = os.Stat(nginx)
	}
	storetest.Need(t, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	origin := fmt.Sprint("http://localhost:", port)
	var log record
	server := programs.ServeLogged(t, &log, append([]string{"COUNTERSIGN_ISSUER=" + origin}, cheapHashes...)...)

	folder := t.TempDir()
	config := filepath.Join(folder, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]d;
		location / {
			proxy_pass http://%[3]s;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_hide_header Referrer-Policy;
			add_header Referrer-Policy no-referrer always;
		}
	}
}
`, folder, port, server.Listen)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := exec.Command(nginx, "-p", folder, "-c", config)
	proxy.Stderr = t.Output()
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Process.Kill(); proxy.Wait() })
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(origin + "/login")
		if err == nil {
			resp.Body.Close()
			if got := resp.Header.Values("Referrer-Policy"); len(got) != 1 || got[0] != "no-referrer" {
				t.Fatalf("Referrer-Policy = %q", got)
			}
			break
		}
		if time.Since(begun) > patience {
			t.Fatal(err)
		}
	}
	b := newProfile(t).newTab()
	b.open(origin + "/signup")
	b.fill("Username", "alice")
	b.fill("Password", password)
	b.press("Sign up")
	b.isAt("Profile")
	b.press("Sign out")
	b.isAt("Sign out?")
	time.Sleep(time.Second) // the button takes no quicker press
	b.press("Sign out")
	b.isAt("Signed out")
	b.open(origin + "/login")
	b.signIn("alice")
	b.isAt("Profile")
}
