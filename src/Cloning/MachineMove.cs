using Vmm.Machines;

namespace Cloning;

/// <summary>
/// The two pauses. <see cref="Run"/> moves a running OS into another machine that is built already: the fork, seen from the
/// instance, and also how memory gets back into one shared file. <see cref="Switch"/> stops it in favour of another OS.
/// </summary>
internal static class MachineMove
{
    /// <summary>Stops one machine and runs the other in its place.</summary>
    /// <param name="from">Runs; afterwards it is paused for good.</param>
    /// <param name="into">Paused and empty; sees the same memory content once <paramref name="whilePaused"/> has run.</param>
    /// <param name="state">Filled on the way.</param>
    /// <param name="whilePaused">What else belongs into the pause; must be as short as the pause is meant to be.</param>
    /// <param name="pause">Timed on the way.</param>
    /// <exception cref="Exception">It did not work out; <paramref name="from"/> runs on as before.</exception>
    public static void Run(Machine from, Machine into, MachineState state, Action whilePaused, Pause pause) => Replace(
        from,
        into,
        // An OS that has asked for a reset must get it, not go on elsewhere as if it had not.
        "the guest ended before it could be moved",
        () =>
        {
            from.Save(state);
            pause.Saved();
            whilePaused();
            into.Load(state);
        },
        static () => { },
        pause);

    /// <summary>Stops one machine for good and runs another, which has been loaded already, in its place.</summary>
    /// <param name="from">Runs; afterwards it is paused for good.</param>
    /// <param name="into">Paused, and ready to run.</param>
    /// <param name="commit">The step after which there is no way back; where it throws, nothing has happened.</param>
    /// <param name="committed">What else belongs into the pause, after that. Must not throw.</param>
    /// <param name="pause">Timed on the way.</param>
    /// <exception cref="Exception">Nothing was committed; <paramref name="from"/> runs on as before.</exception>
    public static void Switch(Machine from, Machine into, Action commit, Action committed, Pause pause) =>
        Replace(from, into, "the instance's own guest ended before the switch", commit, committed, pause);

    private static void Replace(Machine from, Machine into, string ended, Action step, Action afterwards, Pause pause)
    {
        using PauseScope scope = new(from, into);
        pause.Begin();
        from.Pause();
        pause.Stopped();
        try
        {
            if (from.Exited.IsCompleted) throw new InvalidOperationException(ended);
            step();
        }
        catch
        {
            from.Run();
            throw;
        }

        afterwards();
        pause.Ready();
        into.Run();
        scope.Released = true;
        pause.EndsWith(into);
    }
}
