"""`stress pr`: does a pull request remove a race, and what does it cost.

arguments   the command's options
request     the options checked, all mistakes at once: revisions, arms, races, the load's plan
touched     which reproducers a diff concerns, by the code that the fixes of the registry name
verdict     one race from the outcomes on both arms and the load's verdict
witness     the frame that raises, the commit boundary and the statements, from the schedule of a reproducer
comment     `comment.md`, in the headings that Airflow's decision records ask for
junit       `junit.xml`, for CI systems
command     the order: reproducers first, load second, then the files
"""
