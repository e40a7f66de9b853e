import { useEffect, useRef } from 'react'
import type { ChatTitle } from '../protocol.ts'

interface ChatMenuProps {
  chats: readonly ChatTitle[]
  /** The id of the open chat. */
  current: string
  onNew: () => void
}

/** The user's chats, in a menu that opens by mouse, touch and keyboard. */
export function ChatMenu({ chats, current, onNew }: ChatMenuProps) {
  const menu = useRef<HTMLDetailsElement>(null)
  const close = (): void => menu.current?.removeAttribute('open')
  useEffect(close, [current])
  useEffect(() => {
    const onKey = ({ key }: KeyboardEvent): void => {
      if (key !== 'Escape' || !menu.current?.open) return
      close()
      menu.current.querySelector('summary')?.focus()
    }
    const onPointer = ({ target }: PointerEvent): void => {
      if (!(target instanceof Node && menu.current?.contains(target))) close()
    }
    document.addEventListener('keydown', onKey)
    document.addEventListener('pointerdown', onPointer)
    return () => {
      document.removeEventListener('keydown', onKey)
      document.removeEventListener('pointerdown', onPointer)
    }
  }, [])

  return (
    <nav aria-label="Chats">
      <details ref={menu} className="menu">
        <summary>Chats</summary>
        <ul>
          {chats.map(({ id, title }) => (
            <li key={id}>
              <a href={`#${id}`} aria-current={id === current ? 'page' : undefined}>
                {title}
              </a>
            </li>
          ))}
        </ul>
      </details>
      <button
        type="button"
        onClick={() => {
          close()
          onNew()
        }}
      >
        New chat
      </button>
    </nav>
  )
}
