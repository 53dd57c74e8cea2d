package caller_test

import (
	"testing"
	"time"

	"countersign/audit"
	"countersign/caller"
)

func TestOnlyTheOperatorIsTheOperator(t *testing.T) {
	for name, stranger := range map[string]caller.Caller{
		"the zero Caller":   {},
		"one with an id":    {RequestID: "r1"},
		"one with a device": {UserAgent: "Firefox", Language: "ko"},
		"an address":        {Address: "192.0.2.1"},
	} {
		if stranger.IsOperator() {
			t.Errorf("%s is the operator", name)
		}
	}
	if !caller.Operator().IsOperator() {
		t.Error("the operator is a stranger")
	}
}

func TestEventsNameAddressAndRequest(t *testing.T) {
	now := time.Now()
	got := caller.Caller{Address: "192.0.2.1", RequestID: "r1", UserAgent: "Firefox"}.Event(now, audit.UserDeleted)
	if want := (audit.Event{Time: now, Kind: audit.UserDeleted, Address: "192.0.2.1", RequestID: "r1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNetworkIsWhatOneSubscriberHas(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8::1:2": "2001:db8::/64", "": ""} {
		if got := (caller.Caller{Address: address}).Network(); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
