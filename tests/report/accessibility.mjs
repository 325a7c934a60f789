// Opens pages in headless Chromium and fails on what keeps people out: any serious or critical finding of axe-core, a
// page wider than its window, or a chart that the keyboard cannot use.
//
//   node accessibility.mjs FOLDER_OF_NODE_MODULES PAGE.html...
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const [packages, ...pages] = process.argv.slice(2);
const require = createRequire(resolve(packages) + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const problems = [];
const expect = (held, what) => { if (!held) problems.push(what); };

async function scan(where, page) {
  await page.evaluate(axe);
  const found = await page.evaluate("axe.run(document)");
  const grave = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  console.log(`${where}: ${found.passes.length} rules hold, ${found.violations.length} broken, ${grave.length} gravely`);
  for (const one of grave) problems.push(`${where}: ${one.impact} ${one.id}, ${one.nodes[0].html}`);
  const [content, window] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]");
  expect(content <= window, `${where}: the page is ${content} pixels wide`);
}

async function keyboard(where, page) {
  const focused = () => page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''");
  const charts = "svg.chart:has(.mark)";
  const stops = await page.evaluate(
    `[...document.querySelectorAll("${charts}")].map((svg) => svg.querySelectorAll('.mark[tabindex="0"]').length)`
  );
  expect(stops.every((count) => count === 1), `${where}: a chart has ${stops} tab stops`);
  await page.locator("#log").focus();
  await page.keyboard.press("Tab");
  const seen = [await focused()];
  const marks = await page.locator(".view.on .wide .mark, .view.on .narrow .mark").filter({ visible: true }).count();
  for (let step = 1; step < marks; step += 1) {
    await page.keyboard.press("ArrowRight");
    seen.push(await focused());
    const tip = await page.locator("#tip").textContent();
    expect(tip === seen.at(-1), `${where}: the tip says '${tip}' at '${seen.at(-1)}'`);
  }
  expect(new Set(seen).size === marks, `${where}: arrow keys reach ${new Set(seen).size} of ${marks} marks`);
  await page.keyboard.press("Escape");
  expect(await page.locator("#tip").isHidden(), `${where}: Escape leaves the tip`);
  await page.keyboard.press("Home");
  expect((await focused()) === seen[0], `${where}: Home does not lead to the first mark`);
  const [name] = seen[0].split(":");
  await page.keyboard.press("Enter");
  const chosen = await page.evaluate("document.activeElement.selectedOptions?.[0]?.textContent");
  expect(chosen === name, `${where}: Enter on '${name}' shows the layers of '${chosen}'`);
  expect(await page.locator(".views .view.on table caption").last().isVisible(), `${where}: no layers are shown`);
  const shown = await page.locator(".view.on .wide .mark, .view.on .narrow .mark").filter({ visible: true }).count();
  await page.locator("[data-toggle]").last().press("Space");
  const left = await page.locator(".view.on .wide .mark, .view.on .narrow .mark").filter({ visible: true }).count();
  expect(left < shown, `${where}: the filter hides nothing`);
}

for (const file of pages) {
  for (const width of [390, 1400]) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      page.on("pageerror", (error) => problems.push(`${file}: ${error}`));
      page.on("request", (request) => expect(request.url().startsWith("file:"), `${file}: asks for ${request.url()}`));
      await page.goto(`file://${resolve(file)}`);
      await scan(`${file} ${width} ${colorScheme}`, page);
      await keyboard(`${file} ${width} ${colorScheme}`, page);
      await page.close();
    }
  }
  const bare = await browser.newContext({ javaScriptEnabled: false });
  const page = await bare.newPage();
  await page.goto(`file://${resolve(file)}`);
  expect(await page.locator(".chart .mark").first().isVisible(), `${file}: without scripts there is no chart`);
  await bare.close();
}
await browser.close();
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);
