// Sends the response of response_mode=form_post to the client. This runs before the page
// has loaded, so the page leaves no trace in the history: the user can't come back to it
// and send its code again.

// A click now would send the code twice. The button keeps its place, so that nothing moves.
document.getElementById("continue").style.visibility = "hidden";
// A field named "submit" would hide the form's own method.
HTMLFormElement.prototype.submit.call(document.getElementById("form-post"));
