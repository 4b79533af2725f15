"use strict";

// Material leaves the search dialog without a name, and what it makes scroll sideways out of reach of the keyboard.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

const article = document.querySelector("article");
if (article) {
  reachable();
  new MutationObserver(reachable).observe(article, { childList: true, subtree: true });
}

function reachable() {
  for (const wrap of article.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    const heading = nearestHeading(wrap);
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", heading ? `Table: ${heading}` : "Table");
  }
}

function nearestHeading(element) {
  for (let each = element; each; each = each.previousElementSibling) {
    if (/^H[1-6]$/.test(each.tagName)) return each.firstChild.textContent.trim();
  }
  return "";
}
