import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Sighting } from '../../../src/admin/network.ts';
import type { Operations } from '../../../src/admin/operations.ts';
import { createAdminServer } from '../../../src/admin/server.ts';
import { siteOf } from '../../../src/admin/site.ts';
import type { BridgeView } from '../../../src/admin/view.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { Metrics } from '../../../src/telemetry/metrics.ts';
import { Redactor } from '../../../src/telemetry/redactor.ts';
import { demandOf, streamOf, surveyOf, viewOf } from './views.ts';

/** Debian's package `chromium`. It is not needed otherwise, and large: where it is missing, the tests of parts have to do. */
const executablePath = '/usr/bin/chromium';
const missing = !existsSync(executablePath);
if (missing)
  process.stderr.write(`SKIPPED: the console in a browser, for want of ${executablePath}: apt-get install chromium\n`);

const hostile = '<img src=x onerror="document.title=`harmed`"><script>document.title="harmed"</script>';

describe.skipIf(missing)('the console in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
  });
  afterAll(() => browser?.close());

  /** The page of a bridge that shows this, and what was done to it; what the browser complains of fails the test. */
  async function open(
    view: () => BridgeView,
    adminToken?: string,
  ): Promise<{ page: Page; url: string; done: string[] }> {
    const done: string[] = [];
    const redactor = new Redactor([]);
    const operations = {
      pause: (name: string) => void done.push(`pause ${name}`),
      resume: (name: string) => void done.push(`resume ${name}`),
      deadLetters: undefined,
    } as unknown as Operations;
    const server = createAdminServer({
      view,
      trace: async (destination) => ({
        destination,
        items: [{ cluster: 'west', findings: [{ code: 'x', state: 'stops', text: hostile }] }],
        conclusion: `Messages of ${destination} wait.`,
      }),
      survey: async () => {
        const { file, cluster, sightings } = surveyOf(view());
        const quiet = new Map<string, number>();
        const east = viewOf({
          cluster: 'east',
          links: [],
          connectors: [],
          broker: { ...viewOf().broker, product: hostile },
        });
        const rates = { forwarded: quiet, delivered: quiet, relayed: quiet };
        const told: Sighting = { seen: 'told', ageMs: 5, site: siteOf(east, [], rates) };
        return { file, cluster, sightings: new Map([...sightings, ['east', told]]) };
      },
      metrics: new Metrics({ network: 'acme', cluster: 'west', version: '0', peers: ['east'], process: false }),
      ...{ operations, redactor, log: createLog({ level: 'silent', redactor }), adminToken },
    });
    const url = await server.listen({ host: '127.0.0.1', port: 0 });
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    onTestFinished(async () => {
      await page.close();
      await server.close();
      // What is refused on purpose is told to the console too; and the one style that the documentation would have in its markup.
      expect(complaints.filter((text) => !/status of 401|^Applying inline style/.test(text))).toEqual([]);
    });
    await page.goto(url);
    await page.waitForSelector('.cluster');
    return { page, url, done };
  }

  it('shows names with markup in them as they are, and runs none of it', async () => {
    const view = viewOf({
      demand: [demandOf(hostile, { unserved: 'no_route', detail: hostile })],
      streams: [streamOf(hostile, { blockedBy: hostile })],
      links: [{ ...viewOf().links[0]!, up: false, reason: hostile }],
      notes: [hostile],
    });
    const { page } = await open(() => view);
    await page.waitForSelector('#complaints li');
    await page.click('#complaints li:last-child button');
    await page.waitForSelector('.findings li');
    expect(await page.title()).toBe('west · acme · Tombolo');
    expect(await page.locator('main img, main script, dialog img').count()).toBe(0);
    expect(await page.locator('#demand tbody th').textContent()).toBe(hostile);
    expect(await page.locator('.findings li').textContent()).toBe(hostile);
  });

  it('says first what is amiss, follows what changes without being reloaded, and finds a destination', async () => {
    let view = viewOf();
    const { page } = await open(() => view);
    await page.waitForSelector('#attention.well');
    view = viewOf({
      demand: [
        demandOf('orders', { unserved: 'queue_absent', detail: 'There is no such queue at west.' }),
        demandOf('audit'),
      ],
    });
    await page.waitForSelector('#complaints li');
    expect(await page.locator('#complaints li span').allTextContents()).toEqual([
      '2 consumers of orders at east not served: There is no such queue at west.',
    ]);
    expect(await page.locator('#demand tbody th').allTextContents()).toEqual(['orders', 'audit']);
    await page.fill('#search', 'AUD');
    await page.locator('#demand tbody tr').nth(1).waitFor({ state: 'detached' });
    expect(await page.locator('#demand tbody th').allTextContents()).toEqual(['audit']);
  });

  it('says that the bridge does not answer any more, and what is old', async () => {
    let down = false;
    const { page } = await open(() => {
      if (down) throw new Error('gone');
      return viewOf();
    });
    page.removeAllListeners('console');
    down = true;
    await page.waitForSelector('body.stale', { timeout: 10_000 });
    expect(await page.locator('#freshness').textContent()).toMatch(/The request failed.* Shown is what it said at/);
    down = false;
    await page.waitForSelector('body:not(.stale)', { timeout: 10_000 });
  });

  it('pauses a connector with the keyboard, only with the right token, and only after it has asked', async () => {
    const { page, done } = await open(() => viewOf(), 'correct horse');
    const pause = page.locator('#connectors button', { hasText: 'Pause' });
    expect(await pause.isDisabled()).toBe(true);
    const unlock = async (token: string) => {
      await page.focus('#token');
      await page.keyboard.type(token);
      await page.keyboard.press('Enter');
    };
    await unlock('wrong horse');
    await pause.press('Enter');
    await page.locator('dialog button.act').press('Enter');
    await page.locator('#dialog-title', { hasText: /^Not done$/ }).waitFor();
    await page.keyboard.press('Escape');
    expect([done, await pause.isDisabled()]).toEqual([[], true]);
    await unlock('correct horse');
    await pause.press('Enter');
    await page.keyboard.press('Escape');
    expect(done).toEqual([]);
    await pause.press('Enter');
    await page.locator('dialog button.act').press('Enter');
    await page.locator('#dialog-title', { hasText: /^Done$/ }).waitFor();
    expect(done).toEqual(['pause west-to-east']);
    expect(await page.locator('#token').inputValue()).toBe('');
  });

  it('has a documentation page that keeps to the same policy', async () => {
    const { page, url } = await open(() => viewOf());
    await page.goto(`${url}/documentation`);
    await page.waitForSelector('.opblock', { timeout: 15_000 });
    expect(await page.locator('.opblock-summary-path').count()).toBeGreaterThan(15);
  });
});
