import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EgressRecord } from './compute/local/egress/egress-record.ts'

/** What is measured at the moment it is asked for. */
export interface Gauges {
  execs: () => number
  waitingExecs: () => number
  waitingStarts: () => number
  tasks: () => number
  streams: () => number
  agents: () => Promise<{ status: string; count: number }[]>
  forgettable: () => Promise<number>
  projects: () => Promise<{ project: string; bytes: number }[]>
}

/** What `/metrics` tells, in Prometheus' text format. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #durations: Histogram<'method' | 'route' | 'status'>
  readonly #events: Counter
  readonly #egress: Counter<'outcome'>
  readonly #egressBytes: Counter<'direction'>
  readonly #egressProxyLosses: Counter
  /** Finding the labels anew with each request costs more than to count it. */
  readonly #byRoute = new Map<string, Histogram.Internal<'method' | 'route' | 'status'>>()

  constructor({ execs, waitingExecs, waitingStarts, tasks, streams, agents, forgettable, projects }: Gauges) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#durations = new Histogram({
      name: 'theazo_http_request_duration_seconds',
      help: 'Time to the answer, by route; of a stream until it begins.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 120],
      registers,
    })
    this.#events = new Counter({ name: 'theazo_events_total', help: 'Events of agents that were kept.', registers })
    this.#egress = new Counter({
      name: 'theazo_egress_connections_total',
      help: 'Connections of sandboxes to other hosts that have ended, by how.',
      labelNames: ['outcome'],
      registers,
    })
    this.#egressBytes = new Counter({
      name: 'theazo_egress_bytes_total',
      help: 'Bytes that sandboxes have sent (up) and received (down) by them.',
      labelNames: ['direction'],
      registers,
    })
    this.#egressProxyLosses = new Counter({
      name: 'theazo_egress_proxy_losses_total',
      help: 'Times that the process of the egress proxy has ended by itself and was started again.',
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
    gauge('theazo_execs_running', 'Execs that run now.', execs)
    gauge('theazo_execs_waiting', 'Execs that wait for the machine before they begin.', waitingExecs)
    gauge('theazo_sandbox_starts_waiting', 'Starts of sandboxes that wait for the machine.', waitingStarts)
    gauge('theazo_tasks_running', 'Tasks that are worked on now.', tasks)
    gauge('theazo_streams_open', 'Event streams that are open.', streams)
    gauge(
      'theazo_agents_idle_without_timeout',
      'Idle agents of live keys without an idleTimeout: each is billed until it is terminated.',
      forgettable,
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
      help: 'Bytes of the rows that a project stores, of the 20 projects with the most.',
      labelNames: ['project'],
      registers: [],
      async collect() {
        this.reset()
        for (const { project, bytes } of await projects()) this.set({ project }, bytes)
      },
    })
    this.#registry.registerMetric(byProject)
  }

  /** @param route the pattern, not the path: ids are not told. */
  answered(method: string, route: string, status: number, durationMs: number): void {
    const name = `${method} ${route} ${status}`
    let child = this.#byRoute.get(name)
    if (!child) this.#byRoute.set(name, (child = this.#durations.labels({ method, route, status })))
    child.observe(durationMs / 1000)
  }

  eventKept(): void {
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
