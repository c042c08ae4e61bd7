"use strict";
const fact = document.getElementById("fact");
const sheet = document.querySelector(".sheet");
const told = (event) => {
  const shape = event.target.closest && event.target.closest("[data-t]");
  if (shape && fact) fact.textContent = shape.dataset.t;
};
const lit = (event) => {
  const shape = event.target.closest && event.target.closest("[data-g]");
  sheet.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
  sheet.classList.toggle("dim", Boolean(shape));
  if (shape) sheet.querySelectorAll("[data-g]").forEach((one) => one.classList.toggle("lit", one.dataset.g === shape.dataset.g));
};
if (sheet) {
  sheet.addEventListener("mouseover", told);
  sheet.addEventListener("focusin", told);
  sheet.addEventListener("click", lit);
  sheet.addEventListener("keydown", (event) => { if (event.key === "Enter") lit(event); });
}
