namespace Cloning.Instances;

/// <summary>The files of one instance, under <c>$BGKVM_HOME</c>, else /var/lib/bgkvm for root, else ~/.local/state/bgkvm.</summary>
/// <param name="Path">The instance's own directory, mode 0700.</param>
public sealed record InstanceDirectory(string Path)
{
    /// <summary>Where all instances live.</summary>
    public static string Home =>
        Environment.GetEnvironmentVariable("BGKVM_HOME") is { Length: > 0 } home ? System.IO.Path.GetFullPath(home)
        : Environment.IsPrivilegedProcess ? "/var/lib/bgkvm"
        : System.IO.Path.Combine(
            Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } state ? state
            : System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state"), "bgkvm");

    /// <summary>The instance's name.</summary>
    public string Name => System.IO.Path.GetFileName(Path);
    /// <summary>What the user asked for.</summary>
    public string Config => In("config.json");
    /// <summary>Which layers each system disk consists of: the instance's commit point.</summary>
    public string Manifest => In("manifest.json");
    /// <summary>Locked by the instance's process while it lives.</summary>
    public string Lock => In("lock");
    /// <summary>Control API: HTTP over this Unix socket, mode 0600.</summary>
    public string ControlSocket => In("control.sock");
    /// <summary>The console's raw bytes, both ways, over this Unix socket, mode 0600.</summary>
    public string ConsoleSocket => In("console.sock");
    /// <summary>Everything the guest printed.</summary>
    public string ConsoleLog => In("console.log");
    /// <summary>What the monitor has to say.</summary>
    public string Log => In("bgkvm.log");
    /// <summary>What the last shadow's guest printed.</summary>
    public string ShadowLog => In("shadow.log");
    /// <summary>The console of the OS that boots in the background, over this Unix socket, mode 0600.</summary>
    public string ShadowConsoleSocket => In("shadow.sock");
    /// <summary>What the ready command printed when it was last asked.</summary>
    public string ReadyLog => In("ready.log");
    /// <summary>What background reboots have discarded and were asked to keep, unless told another place.</summary>
    public string Discarded => In("discarded");
    /// <summary>Overlays.</summary>
    public string Layers => In("layers");

    /// <summary>The directory of an instance; it need not exist.</summary>
    public static InstanceDirectory Of(string name) => new(System.IO.Path.Combine(Home, name));

    private string In(string file) => System.IO.Path.Combine(Path, file);
}
