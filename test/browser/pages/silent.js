// Never answers.
export const run = () => new Promise(() => {});
