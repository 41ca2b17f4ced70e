// The example in headless Chromium: node browse.mjs CHROMIUM URL FOLDER
// Prints one line of JSON with what the page showed, leaves screenshots in the folder.
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const [executablePath, url, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 800, height: 600 } });
  // The page loads its library from a CDN; here it comes from npm.
  await page.route("https://cdn.jsdelivr.net/**", async (route) => route.fulfill({
    contentType: "text/javascript",
    body: await readFile("node_modules/@stomp/stompjs/bundles/stomp.umd.min.js"),
  }));
  await page.goto(url);
  await page.getByText("connected", { exact: true }).waitFor();
  const prices = () => page.locator("td.price").allTextContents();
  await page.locator("td.price").nth(2).waitFor();
  const before = await prices();
  await page.waitForFunction(
    (old) => [...document.querySelectorAll("td.price")].some((td, n) => td.textContent !== old[n]),
    before,
  );
  // A price that comes before the list makes the first row.
  await page.locator("tr", { hasText: "ACME" }).getByRole("button", { name: "buy" }).click();
  await page.locator("#answer", { hasText: "You have one" }).waitFor();
  await page.screenshot({ path: `${folder}/example.png` });
  const answer = await page.locator("#answer").textContent();
  await page.goto(`${url}romp/`);
  await page.getByText("STOMP 1.0, 1.1 and 1.2").first().waitFor();
  const address = await page.locator("#url").textContent();
  await page.screenshot({ path: `${folder}/home.png` });
  console.log(JSON.stringify({ prices: before.length, answer, address }));
} finally {
  await browser.close();
}
