/** What the plugin makes of a component. */
declare module "*.svelte" {
  const component: import("svelte").Component;
  export default component;
}
