// A button at a password field that shows what was typed. It stands alone, because the sign-in page loads nothing else; without
// scripts there is no button, and the field works as ever. Before the form is sent the field is a password again, so that no
// browser keeps what was typed as an ordinary text.

/** @param {HTMLButtonElement} button @param {HTMLInputElement} field @param {boolean} visible */
function set(button, field, visible) {
  if ((field.type === "text") === visible) return;
  field.type = visible ? "text" : "password";
  button.setAttribute("aria-pressed", String(visible));
  const other = button.dataset.other ?? "";
  button.dataset.other = button.textContent ?? "";
  button.textContent = other;
}

for (const place of document.querySelectorAll(".secret")) {
  const button = place.querySelector("button");
  const field = place.querySelector("input");
  if (!button || !field) continue;
  button.hidden = false;
  button.addEventListener("click", () => {
    set(button, field, field.type === "password");
    field.focus();
  });
  field.form?.addEventListener("submit", () => set(button, field, false), { capture: true });
}
