// The language switch: a choice is a cookie, and the server serves the page again in that language.
atelier.translate(element);
element.querySelector("nav").replaceChildren(...Object.entries(props.languages).map(([code, name]) => {
  const choice = document.createElement("button");
  choice.type = "button";
  choice.lang = code;
  choice.textContent = name;
  choice.setAttribute("aria-pressed", document.documentElement.lang === code);
  choice.addEventListener("click", () => {
    document.cookie = `${props.cookie}=${code}; path=/; max-age=31536000; SameSite=Lax`;
    location.reload();
  });
  return choice;
}));
