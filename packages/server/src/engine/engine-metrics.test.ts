import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { EngineMetrics } from './engine-metrics.ts'

test('ids of models and names of tools do not make metrics without bound', async () => {
  const registry = new Registry()
  const metrics = new EngineMetrics([registry])
  for (let number = 0; number < 150; number += 1) {
    metrics.modelCalled({ model: `local/${number}`, outcome: 'error', durationMs: 1, step: undefined })
    metrics.toolCalled({ tool: `tool_${number}`, outcome: 'ok' })
  }
  metrics.toolCalled({ tool: 'tool_7', outcome: 'ok' })
  const text = await registry.metrics()
  expect(text).toContain('theazo_model_calls_total{model="other",outcome="error"} 50')
  expect(text.match(/^theazo_model_calls_total\{/gm)).toHaveLength(101)
  expect(text).toContain('theazo_tool_calls_total{tool="other",outcome="ok"} 50')
  expect(text).toContain('theazo_tool_calls_total{tool="tool_7",outcome="ok"} 2')
})
