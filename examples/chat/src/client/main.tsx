import './no-eval.ts'
import { createRoot } from 'react-dom/client'
import { api } from './api.ts'
import { App } from './app.tsx'
import './styles.css'

// Alone and first: its response gives a new user the cookie that all later requests share.
const list = await api.chats().catch(() => ({ chats: [], model: '' }))
const root = document.querySelector('#root')
if (root) createRoot(root).render(<App initialList={list} />)
