import { useCallback, useEffect, useRef, useState } from 'react'
import type { ChatList, ChatSnapshot, UsageReport } from '../protocol.ts'
import { api, failureText } from './api.ts'
import { ChatMenu } from './chat-menu.tsx'
import { ConversationView } from './conversation-view.tsx'
import { UsageView } from './usage-view.tsx'

/** A sandbox costs money while it waits, too. */
const refreshIntervalMs = 15_000

/** The page: the chats of the user, what they cost, and the open chat. Its id is in the address. */
export function App({ initialList }: { initialList: ChatList }) {
  const id = useHash()
  const [list, setList] = useState(initialList)
  const [usage, setUsage] = useState<UsageReport>()
  const { snapshot, failure } = useSnapshot(id)
  const [newChatFailure, setNewChatFailure] = useState<string>()
  useEffect(() => setNewChatFailure(undefined), [id])
  const onNew = (): void => {
    setNewChatFailure(undefined)
    openNewChat().catch((error: unknown) => setNewChatFailure(failureText(error)))
  }

  const refresh = useCallback(() => {
    // The next change refreshes again, so a failure here needs no message.
    api.chats().then(setList, () => {})
    api.usage().then(setUsage, () => {})
  }, [])
  useEffect(() => {
    refresh()
    const timer = setInterval(refresh, refreshIntervalMs)
    return () => clearInterval(timer)
  }, [refresh])

  return (
    <>
      <header>
        <ChatMenu chats={list.chats} current={id} onNew={onNew} />
        <h1>
          Theazo chat <small>{list.model}</small>
        </h1>
        {usage && <UsageView usage={usage} />}
      </header>
      {newChatFailure !== undefined && (
        <p className="failure column" role="alert">
          {newChatFailure}
        </p>
      )}
      {snapshot?.id === id && <ConversationView key={id} snapshot={snapshot} onChange={refresh} />}
      {failure !== undefined && (
        <main className="missing">
          <p role="alert">{failure}</p>
          <button type="button" className="primary" onClick={onNew}>
            New chat
          </button>
        </main>
      )}
    </>
  )
}

async function openNewChat(): Promise<void> {
  const { id } = await api.createChat()
  location.hash = id
}

function useHash(): string {
  const [hash, setHash] = useState(() => location.hash.slice(1))
  useEffect(() => {
    const onChange = (): void => setHash(location.hash.slice(1))
    window.addEventListener('hashchange', onChange)
    return () => window.removeEventListener('hashchange', onChange)
  }, [])
  return hash
}

/** Loads the chat of an id; without an id, opens a chat. */
function useSnapshot(id: string): { snapshot?: ChatSnapshot | undefined; failure?: string | undefined } {
  const [state, setState] = useState<{ snapshot?: ChatSnapshot; failure?: string }>({})
  const latest = useRef(id)
  useEffect(() => {
    latest.current = id
    setState({})
    const load = async (): Promise<void> => {
      if (id === '') return await openNewChat()
      const snapshot = await api.chat(id)
      if (latest.current === id) setState({ snapshot })
    }
    load().catch((error: unknown) => {
      if (latest.current === id) setState({ failure: failureText(error) })
    })
  }, [id])
  return state
}
