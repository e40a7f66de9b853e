import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EgressRecord } from './compute/local/egress/egress-record.ts'
import { EngineMetrics } from './engine/engine-metrics.ts'

/** Values that are read when the metrics are requested. */
export interface Gauges {
  execs: () => number
  waitingExecs: () => number
  waitingStarts: () => number
  tasks: () => number
  streams: () => number
  agents: () => Promise<{ status: string; count: number }[]>
  idleWithoutTimeout: () => Promise<number>
  projects: () => Promise<{ project: string; bytes: number }[]>
}

/** The metrics of the server, in Prometheus' text format. */
export class Metrics {
  readonly #registry = new Registry()
  /** Counts of models and tools. */
  readonly engine: EngineMetrics = new EngineMetrics([this.#registry])
  readonly #durations: Histogram<'method' | 'route' | 'status'>
  readonly #events: Counter
  readonly #egress: Counter<'outcome'>
  readonly #egressBytes: Counter<'direction'>
  readonly #egressProxyLosses: Counter
  /** Cached: finding the labels costs more than counting the request. */
  readonly #byRoute = new Map<string, Histogram.Internal<'method' | 'route' | 'status'>>()

  constructor({ execs, waitingExecs, waitingStarts, tasks, streams, agents, idleWithoutTimeout, projects }: Gauges) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#durations = new Histogram({
      name: 'theazo_http_request_duration_seconds',
      help: 'Time to the answer, by route; for a stream the time until it begins.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 120],
      registers,
    })
    this.#events = new Counter({ name: 'theazo_events_total', help: 'Stored events of agents.', registers })
    this.#egress = new Counter({
      name: 'theazo_egress_connections_total',
      help: 'Ended connections of sandboxes to other hosts, by outcome.',
      labelNames: ['outcome'],
      registers,
    })
    this.#egressBytes = new Counter({
      name: 'theazo_egress_bytes_total',
      help: 'Bytes that sandboxes have sent (up) and received (down) over these connections.',
      labelNames: ['direction'],
      registers,
    })
    this.#egressProxyLosses = new Counter({
      name: 'theazo_egress_proxy_losses_total',
      help: 'Number of times that the egress proxy ended unexpectedly and was restarted.',
      registers,
    })
    const gauge = (name: string, help: string, value: () => number | Promise<number>): Gauge =>
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await value())
        },
      })
    gauge('theazo_execs_running', 'Running execs.', execs)
    gauge('theazo_execs_waiting', 'Execs that wait for a slot in the queue.', waitingExecs)
    gauge('theazo_sandbox_starts_waiting', 'Starts of sandboxes that wait for a slot in the queue.', waitingStarts)
    gauge('theazo_tasks_running', 'Running tasks.', tasks)
    gauge('theazo_streams_open', 'Open event streams.', streams)
    gauge(
      'theazo_agents_idle_without_timeout',
      'Idle agents of live keys without an idleTimeout: each is billed until it is terminated.',
      idleWithoutTimeout,
    )
    const byStatus = new Gauge({
      name: 'theazo_agents',
      help: 'Agents that are not terminated, by status.',
      labelNames: ['status'],
      registers: [],
      async collect() {
        this.reset()
        for (const { status, count } of await agents()) this.set({ status }, count)
      },
    })
    this.#registry.registerMetric(byStatus)
    const byProject = new Gauge({
      name: 'theazo_project_stored_bytes',
      help: 'Bytes of the rows that a project stores, for the 20 projects with the most.',
      labelNames: ['project'],
      registers: [],
      async collect() {
        this.reset()
        for (const { project, bytes } of await projects()) this.set({ project }, bytes)
      },
    })
    this.#registry.registerMetric(byProject)
  }

  /** @param route the pattern of the path, without ids. */
  answered(method: string, route: string, status: number, durationMs: number): void {
    const name = `${method} ${route} ${status}`
    let child = this.#byRoute.get(name)
    if (!child) this.#byRoute.set(name, (child = this.#durations.labels({ method, route, status })))
    child.observe(durationMs / 1000)
  }

  eventStored(): void {
    this.#events.inc()
  }

  egressEnded({ outcome, bytesUp, bytesDown }: EgressRecord): void {
    this.#egress.inc({ outcome })
    this.#egressBytes.inc({ direction: 'up' }, bytesUp)
    this.#egressBytes.inc({ direction: 'down' }, bytesDown)
  }

  egressProxyLost(): void {
    this.#egressProxyLosses.inc()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
