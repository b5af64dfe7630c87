// The token, and the list of streams. The token comes in the fragment of the address, which browsers send to nobody,
// and goes once, in the body of a request, to the server, whose cookie stands for it from then on.

import { $ } from "./dom.js";

/** Exchanges a token in the address for the cookie, and takes it out of the address and the history. */
export async function enter() {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await login(decodeURIComponent(token));
}

async function login(token) {
  const answer = await fetch("login", { method: "POST", body: token });
  $("login").hidden = answer.ok;
  $("login-fault").textContent = answer.ok ? "" : "This token is not right.";
  return answer.ok;
}

/**
 * {names, absent, planned} of the streams; null while nobody serves them or a token is wanted. absent: {name: state} of
 * those that do not run. planned: whether the list is that of a configuration, so that what is not on it was taken out.
 */
export async function streams() {
  try {
    const answer = await fetch("streams");
    if (answer.status === 401) showForm();
    if (!answer.ok) return null;
    const list = await answer.json();
    return { names: list.streams, absent: list.absent ?? {}, planned: Boolean(list.absent) };
  } catch {
    return null;
  }
}

function showForm() {
  document.body.dataset.view = "login";
  if (!$("login").hidden) return;
  $("login").hidden = false;
  $("token").focus();
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  await login($("token").value);
  $("token").value = "";
});
