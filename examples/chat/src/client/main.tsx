import './no-eval.ts'
import { createRoot } from 'react-dom/client'
import { api } from './api.ts'
import { App } from './app.tsx'
import './styles.css'

// It ends before any other request starts: its response may set the cookie that makes all of them one user's.
const list = await api.chats().catch(() => ({ chats: [], model: '' }))
const root = document.querySelector('#root')
if (root) createRoot(root).render(<App initialList={list} />)
