// What a person who looks at the page would see, as data. Run inside the page.
() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (node) => {
    const style = getComputedStyle(node);
    const [a, b] = [light(rgb(node.closest("svg") ? style.fill : style.color)), light(behind(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const text = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getBoundingClientRect();
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const words = all("h1, h2, p, dt, dd, small, th, td, svg text").filter((node) => node.textContent.trim());
  const wide = all("*").filter((node) => getComputedStyle(node).overflowX === "auto");
  return {
    pageWidth: document.documentElement.scrollWidth,
    windowWidth: window.innerWidth,
    lang: document.documentElement.lang,
    unlabelledChinese: words.filter((node) => !node.closest("svg") && !node.querySelector("[lang]") &&
      !node.closest("[lang]:not(html)") && /[\u4e00-\u9fff]/.test(node.textContent)).map((node) => node.textContent),
    faint: words.filter((node) => contrast(node) < 4.5).map((node) => `${node.tagName} ${node.textContent}`),
    small: words.map((node) => [node.closest("svg") ? node.getBoundingClientRect().height :
      parseFloat(getComputedStyle(node).fontSize), node.textContent]).filter(([size]) => size < 9),
    mute: wide.filter((node) => node.tabIndex !== 0 || !document.getElementById(node.getAttribute("aria-labelledby"))).length,
    cramped: all("td, tbody th").filter((node) => text(node).height > 4 * text(node).width && node.textContent.length > 4)
      .map((node) => node.textContent),
    headless: all("table").filter((table) => all("thead th[scope=col]", table).some((th) => !th.textContent.trim()) ||
      new Set(all("thead th", table).map((th) => th.textContent)).size < all("thead th", table).length ||
      all("tbody tr", table).some((row) => row.children[0].getAttribute("scope") !== "row")).length,
    cut: all("section").filter((part) => part.getBoundingClientRect().width + 1 < Math.max(0,
      ...all("table, svg", part).map((node) => node.getBoundingClientRect().width)))
      .map((part) => [all("thead th", part).length, part.querySelector("h2").textContent]),
  };
}
