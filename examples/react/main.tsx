import { createRoot } from "react-dom/client";
import { useTopic } from "./use-topic.ts";

interface Message {
  readonly text: string;
}

function Messages() {
  const messages = useTopic<Message>("chat");
  return (
    <ul>
      {messages.map(({ text }, at) => (
        <li key={at}>{text}</li>
      ))}
    </ul>
  );
}

createRoot(document.querySelector("#app")!).render(<Messages />);
