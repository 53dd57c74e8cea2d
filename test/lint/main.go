// Lint runs the linters on packages; 'make lint' calls it with ./... . It has an explicit
// list of linters, and a reason for each exception.
package main

import (
	"github.com/polyfloyd/go-errorlint/errorlint"
	"go-simpler.org/sloglint"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/multichecker"
	"golang.org/x/tools/go/analysis/passes/nilness"
	"golang.org/x/tools/go/analysis/passes/unusedwrite"
	"honnef.co/go/tools/analysis/lint"
	"honnef.co/go/tools/quickfix"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
	"honnef.co/go/tools/stylecheck"
	"honnef.co/go/tools/unused"
)

// exceptions are the checks of staticcheck that do not run, each with its reason.
var exceptions = map[string]string{
	"QF1001": "applying De Morgan's law is a matter of what reads best",
	"QF1003": "a chain of ifs may read better than a switch",
	"QF1006": "a loop may read better with its condition inside",
	"QF1010": "a test prints bytes as numbers on purpose",
	"QF1008": "naming the embedded field says whose method it is",
	"ST1003": "names follow Go's habit but for those that a standard spells another way",
	"ST1020": "a comment of an exported function need not begin with its name",
	"ST1021": "the same for types: one comment may be about several",
	"ST1022": "the same for variables",
}

func main() {
	var all []*analysis.Analyzer
	for _, checks := range [][]*lint.Analyzer{
		staticcheck.Analyzers, // bugs
		simple.Analyzers,      // code that could be simpler
		stylecheck.Analyzers,  // style, including package comments and error texts
		quickfix.Analyzers,
	} {
		for _, check := range checks {
			if _, ok := exceptions[check.Analyzer.Name]; !ok {
				all = append(all, check.Analyzer)
			}
		}
	}
	all = append(all,
		unused.Analyzer.Analyzer, // unused code
		nilness.Analyzer,         // uses of values that are certainly nil
		unusedwrite.Analyzer,     // writes that no code reads
		// Errors are compared by errors.Is and errors.AsType, for most are wrapped.
		errorlint.NewAnalyzer(),
		// Log lines have constant messages in lower case, and constant keys in snake_case.
		sloglint.New(&sloglint.Options{
			NoGlobalLogger: "all", StaticMessage: true, MessageStyle: "lowercased", NoMixedArguments: true, KeyNamingCase: "snake",
		}),
	)
	multichecker.Main(all...)
}
