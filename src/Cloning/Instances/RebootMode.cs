namespace Cloning.Instances;

/// <summary>How to reboot.</summary>
public enum RebootMode
{
    /// <summary>Shut the OS down and boot it again, as everybody does.</summary>
    InPlace,
    /// <summary>Reboot a fork and move onto it.</summary>
    Background,
}
