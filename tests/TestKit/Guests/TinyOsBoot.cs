namespace TestKit.Guests;

/// <summary>How a <see cref="TinyOs"/> starts.</summary>
public enum TinyOsBoot
{
    /// <summary>Comes up.</summary>
    Normally,
    /// <summary>Never prints its prompt.</summary>
    Hangs,
    /// <summary>Resets at once, as a kernel that panics does.</summary>
    Resets,
    /// <summary>Says what Linux says when it panics, and stays there.</summary>
    Panics,
    /// <summary>The same, and resets, as with panic=-1.</summary>
    PanicsAndResets,
    /// <summary>Says what systemd says in emergency mode, and waits.</summary>
    WaitsInEmergencyMode,
    /// <summary>Runs into a triple fault.</summary>
    TripleFaults,
    /// <summary>Comes up, and resets at the power button.</summary>
    NormallyAndResetsAtButton,
    /// <summary>Comes up, and does not look at the power button.</summary>
    NormallyAndIgnoresButton,
    /// <summary>Comes up, and panics at the power button.</summary>
    NormallyAndPanicsAtButton,
    /// <summary>Says hello on the guest channel, prompts, and is ready later; answers what it is asked there.</summary>
    Announces,
}
