// Looks at a status page with Chromium as people do, in light, in dark and on a phone, and prints what there was to see as
// JSON. tests/it/browser.rs decides what it has to be.
//
//   node look.js PROGRAM URL [PICTURE...]
//
// PROGRAM is the browser. Each PICTURE is a file for a picture of the page, the first in light and the second in dark.
"use strict";

const { chromium } = require("playwright-core");

// A picture shows the begin of a page; what follows looks the same.
const PICTURE_HEIGHT = 1465;

const VIEWS = [
    { name: "light", colorScheme: "light", width: 1000, height: 800 },
    { name: "dark", colorScheme: "dark", width: 1000, height: 800 },
    { name: "phone", colorScheme: "light", width: 360, height: 740 },
];

async function main([program, url, ...pictures]) {
    // Chromium's own sandbox wants more than a container gives; the page is ours.
    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
    const looks = [];
    for (const [at, view] of VIEWS.entries()) {
        looks.push(await look(browser, url, view, pictures[at]));
    }
    await browser.close();
    console.log(JSON.stringify(looks));
}

async function look(browser, url, { name, colorScheme, width, height }, picture) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    const requests = [];
    const errors = [];
    page.on("request", request => request.url().startsWith("data:") || requests.push(request.url()));
    page.on("console", message => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", error => errors.push(String(error)));
    const answer = await page.goto(url, { waitUntil: "load" });
    for (const details of await page.locator("details > summary").all()) {
        await details.click();
    }
    const seen = await page.evaluate(read);
    for (const details of await page.locator("details > summary").all()) {
        await details.click();
    }
    if (picture) {
        await page.screenshot({ path: picture, clip: { x: 0, y: 0, width, height: PICTURE_HEIGHT }, fullPage: true });
    }
    await page.close();
    return { view: name, status: answer.status(), requests, errors, ...seen };
}

// Runs within the page.
function read() {
    const text = element => element.textContent.replace(/\s+/g, " ").trim();
    const all = (root, selector) => [...root.querySelectorAll(selector)];
    return {
        title: document.title,
        verdict: text(document.querySelector(".verdict")),
        instances: all(document, "h2").map(text),
        overview: all(document, ".overview tr").map(text),
        sources: all(document, "article").map(article => ({
            source: article.dataset.source,
            state: article.dataset.state,
            advice: all(article, ".advice").map(text),
            facts: Object.fromEntries(all(article, "dl > div").map(fact => [text(fact.children[0]), text(fact.children[1])])),
            runs: all(article, ".runs tr").slice(1).map(row => all(row, "td").map(text)),
            chart: article.querySelector("svg").getAttribute("aria-label"),
            drawn: Object.fromEntries(
                all(article, "svg path[class]:not(.mark)").map(path => [path.getAttribute("class"), path.getTotalLength() > 0]),
            ),
        })),
        scripts: document.scripts.length,
        ground: getComputedStyle(document.body).backgroundColor,
        isTooWide: document.documentElement.scrollWidth > innerWidth,
        pale: pale(),
    };

    // Texts whose contrast is less than WCAG 2.2 asks for (https://www.w3.org/TR/WCAG22/#contrast-minimum).
    function pale() {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = [];
        while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            const isSeen = walker.currentNode.data.trim() && element.getClientRects().length > 0;
            if (isSeen && contrast(colour(element), ground(element)) < 4.5) {
                found.push(text(element));
            }
        }
        return found;
    }

    function colour(element) {
        const style = getComputedStyle(element);
        return element instanceof SVGElement ? style.fill : style.color;
    }

    function ground(element) {
        for (let at = element; at; at = at.parentElement) {
            const { backgroundColor } = getComputedStyle(at);
            if (!/^(transparent|rgba\(.*, 0\))$/.test(backgroundColor)) {
                return backgroundColor;
            }
        }
        return "rgb(255, 255, 255)";
    }

    function contrast(one, other) {
        const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (lighter + 0.05) / (darker + 0.05);
    }

    function luminance(rgb) {
        const [red, green, blue] = rgb.match(/[\d.]+/g).map(value => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    }
}

main(process.argv.slice(2)).catch(error => {
    console.error(error);
    process.exitCode = 1;
});
