package browser

import (
	"encoding/binary"
	"time"

	"countersign/ids"
	"countersign/seal"
)

// A device token is for an app without a browser what the cookie is for a browser. It
// holds when it expires, in milliseconds, and a cookie's value:
//
//	expires(8) value, as a seal.Keys.Token
const (
	devicePrefix  = "cs_dt_"
	devicePurpose = "device token"
)

// KnownFor is how long a browser or device stays known to accounts after the last sign-in
// with it: as long as browsers keep a cookie.
const KnownFor = 400 * 24 * time.Hour

// OpenDevice reads a device token. A malformed, expired or empty one, or another
// installation's, knows no account.
func OpenDevice(keys *seal.Keys, now time.Time, token string) *Known {
	message, ok := keys.OpenToken(devicePrefix, devicePurpose, token)
	if !ok || len(message) < 8 || now.UnixMilli() >= int64(binary.BigEndian.Uint64(message)) {
		return Recognize(keys, nil)
	}
	return Recognize(keys, []string{encoding.EncodeToString(message[8:])})
}

// DeviceToken returns the token for an app to keep after a sign-in to the account, which
// is in epoch.
func (k *Known) DeviceToken(now time.Time, account ids.User, epoch int64) string {
	value, _ := encoding.DecodeString(k.Remember(account, epoch, nil)) // which has just encoded it
	return k.keys.Token(devicePrefix, devicePurpose,
		append(binary.BigEndian.AppendUint64(nil, uint64(now.Add(KnownFor).UnixMilli())), value...))
}
