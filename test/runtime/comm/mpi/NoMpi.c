/* A library that says it is MPI and has the names of another implementation. */
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided);
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  (void)argc;
  (void)argv;
  *provided = required;
  return 0;
}
