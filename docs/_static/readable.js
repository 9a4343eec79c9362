// What the theme leaves out for readers with a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
    const set = (selector, name, value) =>
        document.querySelectorAll(selector).forEach((element) => element.setAttribute(name, value));
    set(".caption[role=heading]", "aria-level", "2");
    set(".sidebar-drawer", "aria-label", "All documents");
    set(".toc-drawer", "aria-label", "This document");
    set("article pre, .table-wrapper", "tabindex", "0");
});
