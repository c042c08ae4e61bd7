// Asks the server that this page came from: the REST calls that everybody may ask.
// Never asks another, and never keeps the token longer than the page is open.
// Who asks: main.js for the pages, job.js for what changes something.

let token = "";

/** Why a call has no answer; `silent`: nobody has said anything. */
export class Trouble extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
    this.silent = status === 0 || status === 503;
  }
}

const PATIENCE = 8000;

async function call(method, path, body) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = "Bearer " + token;
  let answer, told;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
    told = await answer.json();
  } catch (error) {
    if (answer && !answer.ok) throw new Trouble(answer.statusText, answer.status);
    throw new Trouble(`${location.host} does not answer`, 0);
  }
  if (!answer.ok) throw new Trouble(words(told), answer.status);
  return told;
}

function words(told) {
  const all = (told && told.errors) || [];
  return all.map((line) => line.replace(/^[\w.$]+(Exception|Error): /, "")).join(" ") || "no reason was given";
}

/** What a path tells. */
export const get = (path) => call("GET", path);

/** The same; `otherwise` if the server refuses, which a silent one does not; `why` is told the reason. */
export async function getOr(path, otherwise, why = () => {}) {
  try {
    return await get(path);
  } catch (trouble) {
    if (trouble.silent) throw trouble;
    why(trouble.message);
    return otherwise;
  }
}

/** Changes something; asks for the token if the server wants one. */
export async function change(method, path, body) {
  for (;;) {
    try {
      return await call(method, path, body);
    } catch (trouble) {
      if (trouble.status !== 401) throw trouble;
      const given = await dialog({
        title: "This needs the token",
        words: "The job manager was started with --rest-token-file: what is in that file.",
        yes: "Send", secret: true,
      });
      if (!given) throw trouble;
      token = given;
    }
  }
}

/** Asks the person; what was typed, true, or false. */
export function dialog({ title, words: text, yes, secret }) {
  const of = (id) => document.getElementById(id);
  const box = of("ask");
  of("ask-title").textContent = title;
  of("ask-words").textContent = text;
  of("ask-yes").textContent = yes;
  of("ask-label").hidden = !secret;
  of("ask-token").value = "";
  box.returnValue = "no";
  box.showModal();
  (secret ? of("ask-token") : of("ask-yes")).focus();
  return new Promise((done) => {
    // Enter in the field means what the first button of a form means: here that is "Back".
    const entered = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      box.close("yes");
    };
    of("ask-token").addEventListener("keydown", entered);
    box.addEventListener("close", () => {
      of("ask-token").removeEventListener("keydown", entered);
      const said = box.returnValue === "yes";
      const typed = of("ask-token").value.trim();
      of("ask-token").value = "";
      done(said && secret ? typed : said);
    }, { once: true });
  });
}
