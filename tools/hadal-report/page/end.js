// The data comes after the script.
document.addEventListener("DOMContentLoaded", main);
})();
