import { createApp, h } from "vue";
import { useTopic } from "./use-topic.ts";

createApp({
  setup() {
    const messages = useTopic<{ text: string }>("chat");
    return () =>
      h(
        "ul",
        messages.value.map(({ text }) => h("li", text)),
      );
  },
}).mount("#app");
