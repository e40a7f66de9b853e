/**
 * The reference's curl examples, as its page shows them, without the leftovers of the scrape (`class="cb-…">`, a
 * repeated query).
 *
 * @module
 */

/** By action, in the order of the page. */
export const curlExamples = {
  'list sessions': `
curl https://api.theazo.com/v1/sessions \\
  -H "Authorization: Bearer th_live_..."`,

  'create a session': `
curl -X POST https://api.theazo.com/v1/sessions \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Content-Type: application/json" \\
  -d '{
    "userId": "user_123",
    "limits": {
      "maxCost": { "amount": 500, "currency": "usd", "period": "day" },
      "maxAgents": 3
    },
    "metadata": { "plan": "pro" }
  }'`,

  'get or create a session by user': `
curl -X POST https://api.theazo.com/v1/sessions/by-user/user_123 \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Content-Type: application/json" \\
  -d '{
    "limits": {
      "maxCost": { "amount": 1000, "currency": "usd", "period": "month" }
    }
  }'`,

  'create an agent': `
curl -X POST https://api.theazo.com/v1/sessions/ses_01HX.../agents \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Content-Type: application/json" \\
  -d '{
    "browser": true,
    "tools": ["web_search", "write_file"],
    "instructions": "You are a research assistant. Be concise.",
    "timeout": 120
  }'`,

  run: `
curl -X POST https://api.theazo.com/v1/agents/agt_01HX.../run \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Content-Type: application/json" \\
  -d '{ "task": "Summarize the top 5 AI research papers from this week" }'

# Response:
# { "taskId": "task_01HX...", "agentId": "agt_01HX..." }`,

  exec: `
curl -X POST https://api.theazo.com/v1/agents/agt_01HX.../exec \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Content-Type: application/json" \\
  -d '{
    "lang": "python",
    "code": "print(2 + 2)"
  }'

# Response:
# { "stdout": "4\\n", "stderr": "", "exitCode": 0, "durationMs": 312 }`,

  stream: `
curl -N https://api.theazo.com/v1/agents/agt_01HX.../stream \\
  -H "Authorization: Bearer th_live_..." \\
  -H "Accept: text/event-stream"

# Stream output:
# event: thinking
# data: {"text":"I'll search for recent AI papers..."}
#
# event: tool_call
# data: {"tool":"web_search","input":{"query":"AI papers 2025"}}
#
# event: output
# data: {"text":"Here are the top 5...","cost":{"amount":12,"currency":"usd"}}`,

  pause: `
curl -X POST https://api.theazo.com/v1/agents/agt_01HX.../pause \\
  -H "Authorization: Bearer th_live_..."`,

  resume: `
curl -X POST https://api.theazo.com/v1/agents/agt_01HX.../resume \\
  -H "Authorization: Bearer th_live_..."`,

  terminate: `
curl -X POST https://api.theazo.com/v1/agents/agt_01HX.../terminate \\
  -H "Authorization: Bearer th_live_..."`,

  'usage summary': `
curl "https://api.theazo.com/v1/usage/summary?from=2025-05-01" \\
  -H "Authorization: Bearer th_live_..."`,
} as const

export type CurlExample = keyof typeof curlExamples
