// Package uristest has URIs for the tests of packages that judge some kind of URI.
package uristest

import "strings"

// Bad are no redirect URIs, each for another reason.
var Bad = []string{
	"", "/cb", "//app.example.com/cb", "app.example.com/cb", "cb",
	"http://app.example.com/cb", "http://localhost.example.com/cb", "http://127.0.0.1.example.com/cb", "http://192.0.2.1/cb", "http://LOCALHOST/cb",
	"https://", "https:///cb", "https:app.example.com", "https:/cb", "https://:443/cb", "https://a.example:/cb", "https://a.example:0/cb", "https://a.example:65536/cb", "https://a.example:080/cb", "https://a.example:x/cb",
	"https://a.example/cb#", "https://a.example/cb#x", "http://localhost:*#", "http://localhost:*/", "http://localhost:*/cb", "https://localhost:*", "http://a.example:*", "http://[::1]:*",
	"https://user@a.example/", "https://user:pw@a.example/", "https://@a.example/",
	"https://*.example.com/cb", "https://a..example/cb", "https://.example/cb", "https://a.example./cb", "https://a%2eexample/cb", "https://bücher.example/cb",
	`https://a.example\@b.example/`, `https:\\a.example\`, "https://a.example/c b", "https://a.example/\tcb", "https://a.example/cb\n", "https://a.example/<x>", "https://a.example/\x00", "https://a.example/%zz",
	"https://1.2.3/cb", "https://0x7f.1/cb", "https://[::1/cb", "https://[2001:DB8::1]/cb", "https://[fe80::1%25eth0]/cb", "https://[127.0.0.1]/cb",
	"https://a.example:443/cb", "http://localhost:80/cb", "http://127.0.0.1:80", "https://A.example/cb", "https://a.Example/cb", "HTTPS://a.example/cb", "Https://a.example/", "http://Localhost/cb", "HTTP://localhost/cb", "com.Example.app:/cb",
	"https://a.example/x/../cb", "https://a.example/..", "https://a.example/.", "https://a.example/./cb", "https://a.example/cb/.", "https://a.example/cb/..?x", "https://a.example/%2e%2e/cb", "https://a.example/.%2E/cb", "https://a.example/%2e/cb", "com.example.app:/x/../cb", "http://localhost/%2E./cb",
	"https://a.example/x%2fcb", "https://a.example/x%2Fcb", "https://a.example/..%2fcb", "https://a.example/x%5ccb", "https://a.example/x%5C..", "com.example.app:/a%2Fb",
	"https://a.example/*", "https://a.example/cb?x=*", "com.example.app:/*", "http://localhost/*", "http://127.0.0.1:5173/*",
	"https://a.example/cb?code=x", "https://a.example/cb?state=", "https://a.example/cb?x=1&iss=y", "https://a.example/cb?error", "https://a.example/cb?error_description=x", "https://a.example/cb?c%6fde=x", "https://a.example/cb?code[]=x", "https://a.example/cb?response=x", "https://a.example/cb?id_token=x", "https://a.example/cb?x=%zz", "https://a.example/cb?a;b", "com.example.app:/cb?code=x", "http://localhost/cb?state=x",
	"https://xn--/cb", "https://xn--a-ecp.ru../cb", "https://xn--zzzzzzzzzzz.example/cb", "https://xn--bcher-KVA.example/cb", "com.example.app://h:99999/cb", "com.example.app://h:0/",
	"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://a.example/x", "about:blank", "myapp:/cb", "myapp://cb", "com.example.app:cb", "com.example.app:", "urn:ietf:wg:oauth:2.0:oob", "mailto:a@b.de",
	"https://a.example/" + strings.Repeat("a", 2048),
}
