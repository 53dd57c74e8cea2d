package secrecy_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"countersign/accounts"
	"countersign/clients"
	"countersign/configs"
	"countersign/ids"
	"countersign/mail"
	"countersign/secrecy"
	"countersign/secrecy/secrecytest"
	"countersign/signin"
)

// Each struct that carries a secret hides it. Request bodies have the same test in
// handlers. api.Client is not among them: it is the one answer that tells a secret.
func TestStructsHideTheirSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	secrecytest.Hidden(t, secret, clients.Credentials{ID: "app", Secret: secret})
	secrecytest.Hidden(t, secret, accounts.NewUser{Username: "alice", Password: secret})
	secrecytest.Hidden(t, secret, signin.Password{Username: "alice", Password: secret})
	secrecytest.Hidden(t, secret, signin.OwnPassword{UserID: ids.New[ids.User](), Password: secret})
	secrecytest.Hidden(t, secret, signin.SignUp{Username: "alice", Password: secret})
	secrecytest.Hidden(t, secret, mail.SMTP{Host: "mail.example", Username: "countersign", Password: secret})
	secrecytest.Hidden(t, secret, configs.Client{ID: "app", Secret: secret})
	var cfg configs.Config
	cfg.MasterKey, cfg.SMTP.Password = secret, secret
	secrecytest.Hidden(t, secret, cfg)
	generated := clients.GenerateSecret()
	secrecytest.Hidden(t, string(generated), generated)
}

func TestTextIsReadAndUsedAsItIs(t *testing.T) {
	var body struct{ Password secrecy.Text }
	if err := json.Unmarshal([]byte(`{"Password":"pass\"word"}`), &body); err != nil || string(body.Password) != `pass"word` {
		t.Errorf("read %q, %v", string(body.Password), err)
	}
	if got := fmt.Sprintf("%v/%v", body.Password, secrecy.Text("")); got != "[secret]/" {
		t.Errorf("shown as %s, want [secret] and, for an empty one, nothing", got)
	}
}
