// Estimates how many guesses a password takes, off the page's own thread: on a phone the
// dictionaries take a moment to load, and typing must not wait for that.
//
// Of the library's dictionaries it has those that find most: 377 KB compressed, and with all
// of them 850 KB.

import { ZxcvbnFactory } from "@zxcvbn-ts/core";
import graphs from "@zxcvbn-ts/language-common/dist/adjacencyGraphs.json.mjs";
import diceware from "@zxcvbn-ts/language-common/dist/diceware.json.mjs";
import passwords from "@zxcvbn-ts/language-common/dist/passwords.json.mjs";
import firstnames from "@zxcvbn-ts/language-en/dist/firstnames.json.mjs";
import wikipedia from "@zxcvbn-ts/language-en/dist/wikipedia.json.mjs";
import wordSequences from "@zxcvbn-ts/language-en/dist/wordSequences.json.mjs";
import korean from "./korean.js";

const zxcvbn = new ZxcvbnFactory({
  // The library gives its advice by these names.
  dictionary: {
    "passwords-common": passwords,
    "passwords-ko": korean,
    "diceware-common": diceware,
    "firstnames-en": firstnames,
    "wikipedia-en": wikipedia,
    ...wordSequences,
  },
  graphs,
  l33tMaxSubstitutions: 16, // more find little and take a second
});

// A question is { password, about }: about are words that an attacker who knows the user
// tries. The answer has a score from 0 to 4, and what is wrong: one of the library's
// translation keys for warnings, or null.
self.onmessage = ({ data: { password, about } }) => {
  const { score, feedback } = zxcvbn.check(password, about);
  self.postMessage({ score, warning: feedback.warning });
};
