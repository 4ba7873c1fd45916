//! Brings an invitation to the invited address.

use application::{error::Error, journal::History, loaded::replay, mail::Mail, tokens::InvitationToken};
use chrono::Utc;
use domain::{
    aggregate::{Decide, Fact},
    ids::{InvitationId, TenantId},
    invitations::{Invitation, InvitationResent, InvitationSent},
    recorded_event::RecordedEvent,
    tenants::Tenant,
};
use serde::{Deserialize, Serialize};

use super::{Job, MailOffice};
use crate::fold::FoldError;

/// The mail with the link of one generation.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct InvitationMail {
    tenant_id: TenantId,
    invitation_id: InvitationId,
    generation: u32,
}

impl Job for InvitationMail {
    const TASK: &'static str = "invitation_mail";

    fn when(event: &RecordedEvent) -> Result<Option<Self>, FoldError> {
        let (tenant_id, invitation_id) = (event.tenant_id, event.stream.id.into());
        if event.is::<InvitationSent>() {
            return Ok(Some(Self { tenant_id, invitation_id, generation: 1 }));
        }
        let resent = event.fact::<InvitationResent>().transpose()?;
        Ok(resent.map(|resent| Self { tenant_id, invitation_id, generation: resent.generation }))
    }

    async fn run(&self, office: &MailOffice) -> Result<(), Error> {
        let Self { tenant_id, invitation_id, generation } = *self;
        let history = office.history::<Invitation>(tenant_id, invitation_id.uuid()).await?;
        let invitation: Invitation = replay(&history)?;
        let Ok(offer) = invitation.open(Utc::now()) else { return Ok(()) };
        if offer.generation != generation {
            return Ok(());
        }
        let tenant: Tenant = office.load(tenant_id, tenant_id.uuid()).await?;
        let Some(tenant) = tenant.profile() else { return Ok(()) };
        let token = office.tokens.invitation(InvitationToken {
            tenant: tenant_id,
            invitation: invitation_id,
            generation,
        });
        let inviter = inviter(&history)?;
        let text = format!(
            "Hello,\n\
             \n\
             {inviter} invites you to join {tenant}. To accept or decline, open this link by {day}:\n\
             \n\
             {link}\n\
             \n\
             If you do not know what this is about, you need not do anything.\n",
            tenant = tenant.name,
            day = offer.expires_at.format("%-d %B %Y, %H:%M UTC"),
            link = office.link("invitations", &token),
        );
        office
            .send(Mail {
                to: offer.email.clone(),
                to_name: None,
                subject: format!("{inviter} invites you to join {}", tenant.name),
                text,
                message_id: format!("{}-{invitation_id}-{generation}", Self::TASK),
            })
            .await
    }
}

// A snapshot would hide the event that tells who invites.
const _: () = assert!(Invitation::SNAPSHOT_EVERY == 0);

/// Who invites, by name: no decision needs it, so the aggregate does not keep it.
fn inviter(history: &History) -> Result<String, Error> {
    let sent = history.events.iter().find(|event| event.event_type == InvitationSent::TYPE);
    let sent = sent.ok_or_else(|| Error::internal("an open invitation was sent"))?;
    let sent = InvitationSent::decode(sent.event_version, &sent.payload).map_err(Error::internal)?;
    Ok(sent.invited_by)
}
