package browser_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign/test/programs"
)

// bundledApp uses the module as an application in TypeScript does.
const bundledApp = `
import { countersign, CountersignError, type Change, type Profile, type User } from "countersign";

const auth = countersign({ url: %q, uiLocales: "ko en" });
const seen: Change["reason"][] = [];
auth.onChange(({ reason }) => seen.push(reason));

const codeOf = (err: unknown) => (err instanceof CountersignError ? err.code : String(err));

async function journey(): Promise<string> {
	const nobody: User | null = await auth.user();
	const account = { username: "alice", password: %q };
	await auth.signUp(account);
	const user = await auth.signIn(account);
	const response = await auth.fetch(%q + "/userinfo");
	const { sub } = await response.json() as { sub: string };
	await auth.updateProfile({ name: "Alice", address: { locality: "Seoul", country: "KR" } });
	const profile: Profile = await auth.updateProfile({ name: null, address: { country: null } });
	const token = await auth.getAccessToken();
	const bearer = await fetch(%q + "/userinfo", { headers: { Authorization: "Bearer " + token } });
	const consents = (await auth.consents()).length;
	const absent = await auth.withdrawConsent("no such").catch(codeOf);
	const problem = await auth.signUp(account).catch((err: unknown) => err);
	if (!(problem instanceof CountersignError)) throw problem;
	await auth.signOut();
	return JSON.stringify([nobody, sub === user.id, problem.code, problem.errors[0]?.field, await auth.getAccessToken(), seen,
		profile, bearer.status, consents, absent]);
}

declare global {
	interface Window { journey: typeof journey }
}
window.journey = journey;
`

// The module and its types work in a bundle as they do from our server.
func TestModuleInABundle(t *testing.T) {
	s := newSite(t)
	tools, err := programs.NodePackage("node")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	installed := filepath.Join(dir, "node_modules", "countersign")
	if err := os.CopyFS(installed, os.DirFS(filepath.Join("..", "..", "web"))); err != nil {
		t.Fatal(err)
	}
	app := fmt.Sprintf(bundledApp, s.url, password, s.url, s.url)
	if err := os.WriteFile(filepath.Join(dir, "app.ts"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, build := range [][]string{
		{"tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom", "app.ts"},
		{"esbuild", "app.ts", "--bundle", "--minify", "--format=esm", "--outfile=app.js"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(tools, "node_modules", ".bin", build[0]), build[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build[0], err, out)
		}
	}
	page := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app.js" {
			http.ServeFile(w, r, filepath.Join(dir, "app.js"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>app</title><link rel="icon" href="data:,"><script type="module" src="/app.js"></script>`)
	}))
	b := newProfile(t).newTab()
	b.open(page)
	b.wait("the app", "!!window.journey")
	const want = `[null,true,"taken","username",null,["signed_in","signed_out"],{"address":{"locality":"Seoul"}},200,0,"no_consent"]`
	if got := evaluate[string](b, "window.journey()"); got != want {
		t.Errorf("the app saw %s, want %s", got, want)
	}
	b.keepsNoSecrets(password)
}
