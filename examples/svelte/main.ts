import { mount } from "svelte";
import Messages from "./Messages.svelte";

mount(Messages, { target: document.querySelector("#app")! });
