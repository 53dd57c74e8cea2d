package browser_test

import (
	"testing"
	"time"

	"countersign/browser"
	"countersign/ids"
	"countersign/seal"
)

func TestDeviceTokenExpires(t *testing.T) {
	keys, err := seal.Parse(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	now, alice := time.Now(), ids.New[ids.User]()
	token := browser.OpenDevice(keys, now, "").DeviceToken(now, alice, 3)
	for after, want := range map[time.Duration]bool{0: true, browser.KnownFor - time.Second: true, browser.KnownFor + time.Second: false} {
		id, epoch := browser.OpenDevice(keys, now.Add(after), token).Knows(alice)
		if known := id != "" && epoch == 3; known != want {
			t.Errorf("after %v: known %v, want %v", after, known, want)
		}
	}
}
