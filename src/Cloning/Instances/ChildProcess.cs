using System.Diagnostics;
using Kvm.Interop;

namespace Cloning.Instances;

/// <summary>Starts the programs that run as children of the instance's process, one after the other.</summary>
internal static class ChildProcess
{
    private static readonly Lock s_starting = new();

    /// <summary>Starts a program.</summary>
    /// <param name="start">Which, and how.</param>
    /// <param name="passed">A descriptor that it inherits; null for none.</param>
    /// <remarks>
    /// Whatever is started while a descriptor can be inherited inherits it. A ready command that got the shadow's end of the link
    /// would keep the link open when the shadow dies, and nobody would learn of that.
    /// </remarks>
    public static Process Start(ProcessStartInfo start, SafeFd? passed = null)
    {
        lock (s_starting)
        {
            if (passed is null) return Process.Start(start)!;
            UnixSocket.KeepOnExec(passed, keep: true);
            try
            {
                return Process.Start(start)!;
            }
            finally
            {
                UnixSocket.KeepOnExec(passed, keep: false);
            }
        }
    }
}
