import { defineConfig } from 'vite'

const port = process.env['PORT'] ?? '3000'

export default defineConfig({
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 700, // kB: React, the AI SDK, Zod and the Markdown reader
    rolldownOptions: { checks: { moduleLevelDirective: false } }, // 'use client' means nothing without a server of React
  },
  // `npm run dev` serves the client with hot reload; `npm start` runs the API beside it.
  server: { proxy: { '/api': `http://127.0.0.1:${port}` } },
})
