import { defineConfig } from 'vitest/config';

const conditions = ['source'];

/** Tests run on the TypeScript sources of all packages; nothing has to be built first. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['shared/*/test/**/*.test.ts', 'services/*/test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Real brokers share two cores: files run one after the other, so that a test's broker is not starved.
    fileParallelism: false,
  },
});
