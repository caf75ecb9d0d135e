namespace Bgkvm;

/// <summary>What the process's exit status means. Fixed: scripts rely on it.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Done = 0;
    /// <summary>Failed; one line on stderr says why.</summary>
    public const int Failed = 1;
    /// <summary>The command line makes no sense.</summary>
    public const int Usage = 2;
    /// <summary>There is no such instance.</summary>
    public const int NoSuchInstance = 3;
    /// <summary>The host lacks something; the message says what and how to get it.</summary>
    public const int HostLacks = 4;
    /// <summary>A background reboot was given up; the instance is unharmed and still runs.</summary>
    public const int Aborted = 5;
}
