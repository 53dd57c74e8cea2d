package handlers

// ReadJSON is readJSON, which parses bytes that any caller can send.
var ReadJSON = readJSON
