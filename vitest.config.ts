import { defineConfig } from 'vitest/config';

const conditions = ['source'];
const endToEnd = '{services/bridge,infra}/test/e2e/**/*.test.ts';
/** What starts real brokers or Redis, or is judged by the clock over real sockets. */
const servers = [
  'services/bridge/test/{broker,deduplication,election,link}/**/*.test.ts',
  'shared/testing/test/**/*.test.ts',
];
/** Real brokers are broken on purpose, and measured: too long for every day. `make faults` runs it. */
const faults = ['services/bridge/test/faults/faults.test.ts', 'services/bridge/test/faults/nodes.test.ts'];

/**
 * Tests run on the TypeScript sources of all packages; nothing has to be built first. The end-to-end tests alone run the
 * command as users do, and so what `npm run build` made.
 */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // Of what waits for conditions: how long a slow machine may take, not how long it should.
    testTimeout: 180_000,
    hookTimeout: 240_000,
    // Real brokers share two cores: files run one after the other, so that a test's broker is not starved.
    fileParallelism: false,
    projects: [
      {
        extends: true,
        test: {
          // These compute, and run beside anything, with what it leaves of the processor: that may be little for minutes.
          name: 'parts',
          testTimeout: 300_000,
          hookTimeout: 600_000,
          include: [
            'shared/*/test/**/*.test.ts',
            'services/*/test/**/*.test.ts',
            '{helm/tombolo,infra}/test/**/*.test.ts',
          ],
          exclude: [endToEnd, ...servers, ...faults],
        },
      },
      { extends: true, test: { name: 'servers', include: servers } },
      {
        extends: true,
        test: {
          name: 'end to end',
          include: [endToEnd],
          // Two nodes for all files of a run; a test has virtual hosts of its own.
          globalSetup: ['services/bridge/test/e2e/nodes.ts'],
        },
      },
      { extends: true, test: { name: 'faults', include: faults } },
    ],
  },
});
