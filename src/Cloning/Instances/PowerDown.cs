using System.Diagnostics;
using System.Globalization;
using Vmm.Machines;

namespace Cloning.Instances;

/// <summary>The clean end of an operating system: its power button, and patience.</summary>
internal static class PowerDown
{
    /// <summary>
    /// Presses the button and waits. Reset, power-off and triple fault all end the OS; so does a panic, after which nothing comes. An OS
    /// that still boots does not hear the button, so it is pressed once more when it is up.
    /// </summary>
    /// <param name="machine">Runs. Afterwards it has ended, or is to be stopped.</param>
    /// <param name="console">What it prints.</param>
    /// <param name="up">Completes when the OS is up, or has already.</param>
    /// <param name="limit">How long to wait.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    /// <returns>Why the OS did not end by itself and has to be reset, or null when it did.</returns>
    /// <exception cref="OperationCanceledException">Given up.</exception>
    public static string? Run(Machine machine, IConsole console, Task up, TimeSpan limit, CancellationToken cancellation)
    {
        using BootWatch watch = new(console);
        Task ended = Task.WhenAny(machine.Exited, watch.Failed);
        long start = Stopwatch.GetTimestamp();
        bool wasUp = up.IsCompleted;
        machine.PressPowerButton();
        if (!wasUp && Task.WaitAny([ended, up], (int)limit.TotalMilliseconds, cancellation) == 1) machine.PressPowerButton();
        TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
        ended.Wait((int)Math.Max(0, left.TotalMilliseconds), cancellation);
        if (machine.Exited.IsCompleted)
            return machine.Exited.Result.Kind == MachineExitKind.Failed ? $"the old OS broke: {machine.Exited.Result.Detail}" : null;
        return watch.Failure is { } failure
            ? $"the old OS {failure} and was reset"
            : string.Create(CultureInfo.InvariantCulture, $"the old OS did not shut down within {limit.TotalSeconds:0.#} s and was reset");
    }
}
