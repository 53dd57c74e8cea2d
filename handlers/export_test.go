package handlers

// ReadJSON is readJSON, which reads strangers' bytes.
var ReadJSON = readJSON
