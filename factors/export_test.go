package factors

import (
	"time"

	"github.com/pquerna/otp/hotp"
)

// CodeAt returns the code of a secret at a time.
func CodeAt(secret string, at time.Time) (string, error) {
	return hotp.GenerateCodeCustom(secret, uint64(at.Unix()/30), code6)
}
