package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"
)

// deployed returns the PromQL of the alerts and of the dashboard in deploy.
func deployed(t *testing.T) (all []string) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("../deploy/prometheus/alerts.yml")
	if err == nil {
		err = yaml.Unmarshal(text, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all = append(all, r.Expr)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err = os.ReadFile("../deploy/grafana/countersign.json")
	if err == nil {
		err = json.Unmarshal(text, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	if len(all) < 25 {
		t.Errorf("%d expressions, want those of the alerts and of the dashboard", len(all))
	}
	return all
}

var (
	selector = regexp.MustCompile(`\b((?:countersign|go|process)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// check reports metrics, labels and values in an expression that a scrape doesn't have.
func (f families) check(t *testing.T, expr string) {
	t.Helper()
	found := selector.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 && !strings.Contains(expr, "up{") {
		t.Errorf("%s: there is no metric of ours", expr)
	}
	known := map[string]bool{"instance": true, "job": true, "le": true, "quantile": true} // Prometheus' own
	for _, m := range found {
		family := f[m[1]]
		if base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], ""); family == nil && base != m[1] {
			family = f[base]
			if kind := family.GetType(); kind != dto.MetricType_HISTOGRAM && (kind != dto.MetricType_SUMMARY || strings.HasSuffix(m[1], "_bucket")) {
				t.Errorf("%s: %s is no histogram", expr, base)
			}
		} else if kind := family.GetType(); kind == dto.MetricType_HISTOGRAM {
			t.Errorf("%s: %s is a histogram", expr, m[1])
		}
		if family == nil {
			t.Errorf("%s: there is no %s", expr, m[1])
			continue
		}
		values := map[string]map[string]bool{}
		for _, one := range family.GetMetric() {
			for _, l := range one.GetLabel() {
				if values[l.GetName()] == nil {
					values[l.GetName()] = map[string]bool{}
				}
				values[l.GetName()][l.GetValue()] = true
				known[l.GetName()] = true
			}
		}
		for _, by := range matcher.FindAllStringSubmatch(m[2], -1) {
			label, op := by[1], by[2]
			if label == "job" || label == "instance" {
				continue
			}
			if values[label] == nil && !known[label] {
				t.Errorf("%s: %s has no label %s", expr, m[1], label)
			}
			for value := range strings.SplitSeq(by[3], "|") {
				if (op == "=" || op == "=~") && label != "quantile" && !strings.ContainsAny(value, ".*$") && !values[label][value] {
					t.Errorf("%s: %s is never %q", expr, label, value)
				}
			}
		}
	}
	for _, by := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			if !known[strings.TrimSpace(label)] {
				t.Errorf("%s: no metric in it has the label %s", expr, label)
			}
		}
	}
}

// The alerts fire when they should and not otherwise, and Prometheus can read all that the
// dashboard asks, by Prometheus' own tool.
func TestAlertRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing: ./test/prepare installs it")
		}
		t.Skip("promtool is missing: ./test/prepare installs it")
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", "countersign", "$instance", ".*")
	var rules []map[string]string
	for i, expr := range deployed(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("expr_%d", i), "expr": variables.Replace(expr)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []map[string]any{{"name": "all", "rules": rules}}})
	all := filepath.Join(t.TempDir(), "all.yml")
	if err == nil {
		err = os.WriteFile(all, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml", all}, {"test", "rules", "alerts_test.yml"}} {
		run := exec.CommandContext(t.Context(), promtool, args...)
		run.Dir = "../deploy/prometheus"
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
