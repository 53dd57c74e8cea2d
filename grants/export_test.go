package grants

// What reads a stranger's bytes.
var (
	ParseBasic = parseBasic
	ParseForm  = parseForm
)
